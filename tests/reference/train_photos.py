#!/usr/bin/python3
"""Peer run: ResNet-18 trained by PyTorch on a folder of photographs, with the recipe that resnet-train is compared with.

 train_photos.py DATA [--epochs 10] [--batch 32] [--lr 0.05] [--seed 0] [--threads 2]
 DATA: train/CLASS/* JPEG files of 224 x 224 pixels.

SGD momentum 0.9, weight decay 1e-4 on every parameter, one warm-up epoch (linear, per step), cosine to 0, no augmentation,
ImageNet mean and deviation, a new order in every epoch, the last partial batch trained. The same with resnet-train:
 mpirun -np 2 resnet-train --arch resnet18 --data DATA --global-batch 32 --lr 0.05 --warmup-epochs 1 --lr-schedule cosine \\
   --epochs 10 --augment none --seed 0
Prints one line per epoch: epoch, seconds, mean training loss over the epoch's images, training error %.
"""
import argparse
import math
import os
import time

parser = argparse.ArgumentParser()
parser.add_argument('data')
parser.add_argument('--epochs', type=int, default=10)
parser.add_argument('--batch', type=int, default=32)
parser.add_argument('--lr', type=float, default=0.05)
parser.add_argument('--seed', type=int, default=0)
parser.add_argument('--threads', type=int, default=2)
args = parser.parse_args()
os.environ['OMP_NUM_THREADS'] = str(args.threads)
import torch
import torchvision

torch.set_num_threads(args.threads)
torch.manual_seed(args.seed)
transform = torchvision.transforms.Compose([
    torchvision.transforms.ToTensor(),
    torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
images = torchvision.datasets.ImageFolder(os.path.join(args.data, 'train'), transform)
net = torchvision.models.resnet18(num_classes=len(images.classes)).to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(net.parameters(), lr=args.lr, momentum=0.9, weight_decay=1e-4)
loader = torch.utils.data.DataLoader(images, batch_size=args.batch, shuffle=True)
steps, step, start = len(loader), 0, time.time()
net.train()
for epoch in range(args.epochs):
    loss_sum, wrong = 0.0, 0
    for x, y in loader:
        if step < steps:
            rate = args.lr * (step + 1) / steps
        else:
            rate = args.lr * 0.5 * (1 + math.cos(math.pi * (step - steps) / (steps * (args.epochs - 1))))
        for group in optimizer.param_groups:
            group['lr'] = rate
        optimizer.zero_grad(set_to_none=True)
        out = net(x.contiguous(memory_format=torch.channels_last))
        loss = torch.nn.functional.cross_entropy(out, y)
        loss.backward()
        optimizer.step()
        loss_sum += loss.item() * len(y)
        wrong += (out.argmax(1) != y).sum().item()
        step += 1
    print(f'epoch {epoch + 1} seconds {time.time() - start:.0f} train_loss {loss_sum / len(images):.6f} '
          f'train_error {100 * wrong / len(images):.2f}', flush=True)
